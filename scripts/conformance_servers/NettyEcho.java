import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.codec.LengthFieldBasedFrameDecoder;
import io.netty.handler.codec.LengthFieldPrepender;

/** An echo of 4-byte length-prefixed frames, with Netty's decoder. Usage: NettyEcho PORT */
public class NettyEcho {
    private static final int HEADER = 4;
    private static final int LIMIT = 1 << 20;

    public static void main(String[] arguments) throws Exception {
        new ServerBootstrap()
            .group(new NioEventLoopGroup())
            .channel(NioServerSocketChannel.class)
            .option(ChannelOption.SO_BACKLOG, 1024)
            .childHandler(new ChannelInitializer<SocketChannel>() {
                @Override
                protected void initChannel(SocketChannel channel) {
                    channel.pipeline().addLast(
                        new LengthFieldBasedFrameDecoder(HEADER + LIMIT, 0, HEADER, 0, HEADER),
                        new LengthFieldPrepender(HEADER),
                        new Echo());
                }
            })
            .bind("127.0.0.1", Integer.parseInt(arguments[0])).sync()
            .channel().closeFuture().sync();
    }

    private static class Echo extends ChannelInboundHandlerAdapter {
        @Override
        public void channelRead(ChannelHandlerContext context, Object frame) {
            context.writeAndFlush(frame);
        }

        @Override
        public void channelWritabilityChanged(ChannelHandlerContext context) {
            context.channel().config().setAutoRead(context.channel().isWritable());
        }

        @Override
        public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
            context.close(); // a frame is too long, or the peer has reset
        }
    }
}
